"""The real image–text sets that the benchmarks train on, and the paper's measure of a ranking.

openclipart comes with the project (test/data).  wikipedia and flickr8k may not be copied:
whoever has them names a folder with wikipedia/pairs.csv and flickr8k/flickr8k.npz.
"""
import csv
import os

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
OPENCLIPART = os.path.join(HERE, '..', 'data', 'openclipart.csv')
SETS = ('openclipart', 'wikipedia', 'flickr8k')
FILES = {'wikipedia': 'wikipedia/pairs.csv', 'flickr8k': 'flickr8k/flickr8k.npz'}

# What the papers' methods are trained for: (set, method)
EPOCHS = {
    ('wikipedia', 'jdsh'): 30, ('wikipedia', 'dmsh_ln'): 300,
    ('openclipart', 'jdsh'): 30, ('openclipart', 'dmsh_ln'): 60,
    ('flickr8k', 'jdsh'): 10, ('flickr8k', 'dmsh_ln'): 40,
}

# Mean average precision of an independent implementation, which our trainers must meet, of networks
# as in the papers: (set, method): {protocol: (image→text, text→image)}; 64 bits, mean of three seeds
ANCHORS = {
    ('wikipedia', 'jdsh'): {'train': (.245, .290), 'unseen': (.254, .209)},
    ('wikipedia', 'dmsh_ln_linear'): {'train': (.241, .322), 'unseen': (.244, .190)},
    ('openclipart', 'jdsh'): {'train': (.432, .425), 'unseen': (.438, .415)},
    ('openclipart', 'dmsh_ln_linear'): {'train': (.626, .650), 'unseen': (.610, .590)},
    ('flickr8k', 'jdsh'): {'unseen': (.560, .556)},
    ('flickr8k', 'dmsh_ln_linear'): {'unseen': (.555, .562)},
}
ANCHOR_LIMIT = .01    # a mean may be so far from them

# The same of kernel ridge hashing, on unseen pairs: (set, with labels): {bits: (image→text, text→image)}
KERNEL_RIDGE = {
    ('wikipedia', False): {16: (.265, .213), 64: (.279, .226), 128: (.284, .230)},
    ('wikipedia', True): {16: (.283, .221), 64: (.302, .236), 128: (.310, .239)},
    ('openclipart', False): {16: (.443, .421), 64: (.472, .446), 128: (.477, .450)},
    ('openclipart', True): {16: (.692, .684), 64: (.709, .716), 128: (.715, .721)},
    ('flickr8k', False): {16: (.564, .559), 64: (.594, .588), 128: (.601, .594)},
    ('flickr8k', True): {16: (.591, .588), 64: (.629, .621), 128: (.635, .627)},
}
KERNEL_RIDGE_LIMIT = .005    # a mean of both directions may be so much below


def path(folder, name):
    """Where a set's file is; None if it is not there."""
    if name == 'openclipart':
        return OPENCLIPART
    found = os.path.join(folder, FILES[name]) if folder else None
    return found if found and os.path.exists(found) else None


def array(text):
    return np.array(text[1:-1].split(','), dtype=np.float32)


def read_csv(file, image, text, label):
    csv.field_size_limit(1 << 30)
    with open(file, newline='') as lines:
        rows = list(csv.DictReader(lines))
    images = np.stack([array(row[image]) for row in rows])
    texts = np.stack([array(row[text]) for row in rows])
    if label == 'labels':
        labels = np.stack([array(row[label]) for row in rows]) > 0
    else:
        names = sorted({row[label] for row in rows})
        labels = np.array([[row[label] == name for name in names] for row in rows])
    return images, texts, labels.astype(np.uint8), np.array([row['split'] == 'train' for row in rows])


def load(folder, name):
    """Parts of a set, each (images, texts, labels): train, query, unseen database.

    Of wikipedia and openclipart the test pairs are both queries and unseen database.
    openclipart's 233 texts without a word are left out, with their images.
    """
    if name == 'flickr8k':
        data = np.load(path(folder, name))
        split = data['split']
        columns = [data['image_features'].astype(np.float32), data['text_features'].astype(np.float32),
                   data['labels']]
        return [tuple(column[split == part] for column in columns) for part in (0, 2, 1)]
    if name == 'wikipedia':
        images, texts, labels, train = read_csv(path(folder, name), 'img', 'txt', 'labels')
    else:
        images, texts, labels, train = read_csv(path(folder, name), 'image_features', 'text_features', 'category')
        said = texts.any(axis=1)
        images, texts, labels, train = images[said], texts[said], labels[said], train[said]
    parts = [tuple(column[where] for column in (images, texts, labels)) for where in (train, ~train)]
    return [parts[0], parts[1], parts[1]]


def scaled(parts, scale='rms'):
    """The parts' features as the option `scale` of the trainers does it, by the training rows."""
    result = [list(part) for part in parts]
    for modality in (0, 1):
        train = parts[0][modality].astype(np.float64)
        shift, factor = 0, 1
        if scale == 'rms':
            factor = 1 / np.sqrt((train ** 2).mean())
        elif scale == 'standard':
            deviation = train.std(axis=0)
            shift, factor = train.mean(axis=0), np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0)
        for part in result:
            part[modality] = ((part[modality] - shift) * factor).astype(np.float32)
    return result


def mean_average_precision(query_codes, query_labels, codes, labels):
    """Whole ranking by Hamming distance, ties in storage order; a query without a relevant row counts 0."""
    queries, database = (2 * part.astype(np.float32) - 1 for part in (query_codes, codes))
    distances = ((queries.shape[1] - queries @ database.T) / 2).round().astype(np.uint16)
    order = np.argsort(distances, axis=1, kind='stable')
    relevant = (query_labels.astype(np.float32) @ labels.T.astype(np.float32)) > 0
    relevant = np.take_along_axis(relevant, order, axis=1)
    precision = np.cumsum(relevant, axis=1, dtype=np.int32) / np.arange(1, len(codes) + 1)
    found = relevant.sum(axis=1)
    return (np.where(relevant, precision, 0).sum(axis=1) / np.maximum(found, 1)).mean()


def chance(query_labels, labels):
    """What a ranking at random reaches: about the mean share of relevant rows."""
    return ((query_labels.astype(np.float32) @ labels.T.astype(np.float32)) > 0).mean()
