"""Accuracy: mean average precision of the methods, and what each part of the papers' two is worth.

Over the whole ranking by Hamming distance, ties in storage order, queries without a relevant
row counting 0: image→text and text→image, mean of three seeds and half the range.  Two
protocols: test pairs against the training rows (`train`), which text→image finds easy, for
those images are known by heart; and against pairs that were not trained on (`unseen`).

codes: the methods at 16, 32, 64 and 128 bits, DMsH-LN by default and with the paper's linear networks,
kernel_ridge with labels and without, beside two that are not the project's, from the same features:
CCA-ITQ (cca_itq.py; its ridge is the best of six by the mean average precision of a fifth of the
training pairs against the others) and a contrastive one like UCCH (contrastive.py; its temperature
and epochs are the best of six for each length, by such a fifth against itself), a help that the
methods do not get; and a ranking at random.  At 64 bits also how far the means are from an independent
implementation's; more than .01 fails the run.

parts: at 64 bits each part of a method as in its paper (DMsH-LN: dmsh_ln_linear) taken away, on
unseen pairs; gain is what it adds, that is all of the method less the method without it, seed by
seed: mean and half the range.

ONLY= takes some of: jdsh dmsh_ln dmsh_ln_linear kernel_ridge kernel_ridge_labels cca_itq
contrastive, codes parts.  SETS= takes sets, BITS= lengths.
"""
import numpy as np

import cca_itq
import contrastive
import core as harness
import pairs
from chosen import ACCURACY, chosen

BITS = (16, 32, 64, 128)
RIDGES = (1e-3, 1e-2, 1e-1, 1, 10, 100)
CONTRASTIVE = [(temperature, epochs) for temperature in (.4, 1, 2.5) for epochs in (10, 30)]

# What is taken away: name → (scale, options)
PARTS = {
    'jdsh': {
        'DSDW': ('rms', {'l1': 0, 'l2': 0}),
        'joint similarity (lambda)': ('rms', {'lambda': 0, 'alpha': .4 / .7, 'beta': .3 / .7}),
        "the texts' similarity": ('rms', {'lambda': 0, 'alpha': 1, 'beta': 0}),
        "the images' similarity": ('rms', {'lambda': 0, 'alpha': 0, 'beta': 1}),
        'loss within modalities (eta)': ('rms', {'eta': 0}),
        'continuation of tanh': ('rms', {'continuation': False}),
        'scale (none)': ('none', {}),
        'scale (standard instead)': ('standard', {}),
        'a linear text network (4,096 hidden instead)': ('rms', {'text_hidden': 4096}),
    },
    'dmsh_ln_linear': {
        'label network': ('rms', {'weight_iy': 0, 'weight_ty': 0, 'weight_yy': 0}),
        'what is not of the label network': ('rms', {'weight_ii': 0, 'weight_tt': 0, 'weight_it': 0}),
        'dropout': ('rms', {'dropout': 0}),
        'warm-up': ('rms', {'warmup': 0}),
        'scale (none)': ('none', {}),
        'scale (standard instead)': ('standard', {}),
        'linear networks (512 hidden instead)': ('rms', {'image_hidden': 512, 'text_hidden': 512}),
    },
}


def precision(encode, parts):
    """Protocol → (image→text, text→image); encode(modality, features) gives codes."""
    query = [encode(modality, parts[1][number]) for number, modality in enumerate(('image', 'text'))]
    result = {}
    for protocol, part in (('train', parts[0]), ('unseen', parts[2])):
        codes = [encode(modality, part[number]) for number, modality in enumerate(('image', 'text'))]
        result[protocol] = [pairs.mean_average_precision(query[side], parts[1][2], codes[1 - side], part[2])
                            for side in (0, 1)]
    return result


def trained_precision(core, sets, name, method, bits, seed, scale='rms', options=()):
    parts = sets[name, scale]
    epochs = pairs.EPOCHS.get((name, harness.VARIANTS.get(method, (method,))[0]))
    if epochs:
        options = {'epochs': epochs, **dict(options)}
    session = harness.trained(core, parts[0], method, bits=bits, seed=seed, **dict(options))
    result = precision(session.encode, parts)
    session.close()
    return result


def held_out(parts):
    """The training pairs without a fifth of them, and that fifth."""
    held = np.arange(len(parts[0][0])) % 5 == 0
    return [tuple(column[where] for column in parts[0]) for where in (~held, held)]


def best_ridge(parts, bits=32):
    """By a fifth of the training pairs against the others."""
    rest, held = held_out(parts)

    def reached(ridge):
        model = cca_itq.CcaItq(*rest[:2], bits, 1, ridge)
        return np.mean(precision(encoder(model), [rest, held, rest])['unseen'])
    return max(RIDGES, key=reached)


def best_contrastive(parts, bits):
    """By a fifth of the training pairs against itself: against the others text→image is learned by heart."""
    rest, held = held_out(parts)

    def reached(choice):
        model = contrastive.Contrastive(*rest[:2], bits, 1, *choice)
        return np.mean(precision(encoder(model), [rest, held, held])['unseen'])
    return max(CONTRASTIVE, key=reached)


def encoder(model):
    return lambda modality, features: model.encode(int(modality == 'text'), features)


class Sets(dict):
    """(name, scale) → its parts, scaled; read and scaled once."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def __missing__(self, key):
        name, scale = key
        self[key] = pairs.scaled(pairs.load(self.folder, name), scale)
        return self[key]


def summary(runs):
    """Columns of several seeds' pairs of precisions."""
    values = np.array(runs)
    mean, spread = values.mean(axis=0), (values.max(axis=0) - values.min(axis=0)) / 2
    return {'image_text': mean[0], 'spread_image_text': spread[0], 'text_image': mean[1], 'spread_text_image': spread[1]}


def show(report, sets, name, method, bits, runs):
    """A row a protocol; returns how far the means are from the reference, where there is one."""
    worst = 0
    for protocol, part in (('train', 0), ('unseen', 2)):
        columns = summary([run[protocol] for run in runs])
        reference = pairs.ANCHORS.get((name, method), {}).get(protocol) if bits == 64 else None
        off = max(abs(columns['image_text'] - reference[0]), abs(columns['text_image'] - reference[1])) if reference else None
        worst = max(worst, off or 0)
        labels = [sets[name, 'rms'][number][2] for number in (1, part)]
        report.row('accuracy', f'{name}, {bits} bits, {method}, {protocol}', **columns,
                   by_chance=pairs.chance(*labels), off_reference=off)
    return worst


def codes(report, settings, core, sets, names, seeds):
    worst = 0
    for name in names:
        if chosen(settings.only, ACCURACY, 'cca_itq'):
            ridge = best_ridge(sets[name, 'rms'])
            known = cca_itq.correlate(*(part.astype(np.float64) for part in sets[name, 'rms'][0][:2]), ridge)
            report.note(f'{name}: CCA with ridge {ridge:g}, at most {known[0][1].shape[1]} components')
        for bits in settings.bits or ((64,) if settings.quick else BITS):
            for method in ACCURACY[0]:
                if not chosen(settings.only, ACCURACY, method):
                    continue
                train_part = sets[name, 'rms'][0]
                if method == 'contrastive':
                    choice = best_contrastive(sets[name, 'rms'], bits)
                    report.note(f'{name}, {bits} bits: contrastive with temperature {choice[0]}, {choice[1]} epochs')
                    runs = [precision(encoder(contrastive.Contrastive(*train_part[:2], bits, seed, *choice)),
                                      sets[name, 'rms']) for seed in seeds]
                elif method == 'cca_itq':
                    runs = [precision(encoder(cca_itq.CcaItq(*train_part[:2], bits, seed, ridge, known)),
                                      sets[name, 'rms']) for seed in seeds]
                else:
                    runs = [trained_precision(core, sets, name, method, bits, seed) for seed in seeds]
                worst = max(worst, show(report, sets, name, method, bits, runs))
    return worst


def parts_of(report, core, sets, name, method, seeds, quick):
    """All of a method, then without each part: gain is their difference, spread half its range over the seeds."""
    whole = [trained_precision(core, sets, name, method, 64, seed)['unseen'] for seed in seeds]
    for part, (scale, options) in {'nothing': ('rms', {}), **PARTS[method]}.items():
        if quick and 'text_hidden' in options:
            continue
        runs = [trained_precision(core, sets, name, method, 64, seed, scale, options)['unseen'] for seed in seeds] \
            if part != 'nothing' else whole
        mean, gain = summary(runs), summary(np.array(whole) - np.array(runs))
        report.row('parts', f'{name}, {method}, without {part}', image_text=mean['image_text'],
                   text_image=mean['text_image'], gain_image_text=gain['image_text'],
                   spread_gain_image_text=gain['spread_image_text'], gain_text_image=gain['text_image'],
                   spread_gain_text_image=gain['spread_text_image'])


def run(report, settings):
    core = harness.load()
    core.harness_threads(1)
    sets = Sets(settings.data)
    asked = [name for name in pairs.SETS if name in (settings.sets or ())] or pairs.SETS
    names = [name for name in asked if pairs.path(settings.data, name) and (not settings.quick or name == 'openclipart')]
    for name in set(asked) - set(names):
        report.skip(f'accuracy on {name}', 'QUICK' if settings.quick else f'DATA has no {pairs.FILES[name]}')
    seeds = (1,) if settings.quick else (1, 2, 3)
    if settings.quick:
        report.note('QUICK: one seed, 64 bits, openclipart only, no part that needs hidden layers')
    worst = 0
    if chosen(settings.only, ACCURACY, 'codes'):
        worst = codes(report, settings, core, sets, names, seeds)
        report.note(f'largest distance of a mean from the reference: {worst:.3f}')
    for name in names:
        for method in PARTS:
            if chosen(settings.only, ACCURACY, 'parts', method):
                parts_of(report, core, sets, name, method, seeds, settings.quick)
    if worst > pairs.ANCHOR_LIMIT and not settings.quick:
        raise SystemExit(f'accuracy is {worst:.3f} away from the reference, more than {pairs.ANCHOR_LIMIT}')
