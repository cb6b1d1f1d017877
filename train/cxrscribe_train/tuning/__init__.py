"""Settings chosen on the validation split: of a training by many short ones, of decoding by trying all."""
