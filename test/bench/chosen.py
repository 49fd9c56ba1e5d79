"""ONLY=: what of a part is asked for."""


def chosen(only, groups, *words):
    """Is what has these words asked for?

    groups are the words that exclude each other.  Of a group of which ONLY has words, what has
    words of that group too must have one of ONLY's.
    """
    only = set(only or ())
    return all(not only & set(group) or not set(words) & set(group) or only & set(words) & set(group)
               for group in groups)
