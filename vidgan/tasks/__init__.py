"""The capabilities that train a model, one package each."""
