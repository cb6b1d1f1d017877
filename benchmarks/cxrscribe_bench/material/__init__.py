"""What is measured on: films, features, a model of real size, and the words that must come out."""
