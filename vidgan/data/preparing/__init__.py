"""From a folder of sources to a prepared data set."""
