"""From a report corpus to a trained model: corpora, phantoms, features, fitting, evaluation."""
