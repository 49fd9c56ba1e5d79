"""ONLY=: what of a part is asked for, and all words that it may have."""

LIMITS = ('nearest', 'two', 'radius', 'joins')
WRITES = ('builds', 'inserts', 'deletes')
METHODS = ('jdsh', 'dmsh_ln')
TRAINING = (METHODS, ('linear', 'hidden512', 'text4096'), ('dense', 'sparse'), ('1', '2'), ('limits', 'epochs', 'encoding', 'sql'))
ACCURACY = ((*METHODS, 'dmsh_ln_linear', 'kernel_ridge', 'kernel_ridge_labels', 'cca_itq', 'contrastive'), ('codes', 'parts'))
WORDS = tuple(dict.fromkeys(('searches', *LIMITS, *WRITES, *(word for group in TRAINING + ACCURACY for word in group))))


def chosen(only, groups, *words):
    """Is what has these words asked for?

    groups are the words that exclude each other.  Of a group of which ONLY has words, what has
    words of that group too must have one of ONLY's.
    """
    only = set(only or ())
    return all(not only & set(group) or not set(words) & set(group) or only & set(words) & set(group)
               for group in groups)
