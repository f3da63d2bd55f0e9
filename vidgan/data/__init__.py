"""Turn loose files into a prepared data set, and a prepared data set into training batches.

- `sources`, `layouts`: read what people have, and recognise published data sets
- `preparing`: `prepare`, the five stages LIST, READ, CUT, SPLIT and STORE
- `store`: the prepared data set on disk
- `dataset`, `timing`, `augmentation`, `loader`: items, their frames, random views, and the stream of batches
- `unprepared`: single clips without a prepared data set
- `synthetic`: generated shapes and digits
"""
