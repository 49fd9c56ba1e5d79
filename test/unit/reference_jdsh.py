"""Epochs of JDSH in float64 NumPy, written from the formulas alone.

usage: reference_jdsh.py FILE     (a case written by test_train_step)

Recomputes the DSDW fit (np.histogram), then every step of every epoch: joint
similarity, losses, gradients, SGD with momentum and weight decay on all weights
and biases at every step.  The C side postpones the steps of untouched rows;
this one does not.
"""
import sys

import numpy as np

from reference import Case, Net, unit, unit_backward


def joint_similarity(case, image, text):
    s_image = 2 * unit(image) @ unit(image).T - 1
    s_text = 2 * unit(text) @ unit(text).T - 1
    high = unit(s_image) @ unit(s_text).T
    return (case.number('alpha') * s_image + case.number('beta') * s_text +
            case.number('lambda') * (high + high.T) / 2)


def fit(case, image, text):
    m = case.number('batch_size')
    order = case['fit.permutation']
    off_diagonal = ~np.eye(m, dtype=bool)
    values = np.concatenate([
        joint_similarity(case, image[order[at:at + m]], text[order[at:at + m]])[off_diagonal]
        for at in range(0, len(order) - m + 1, m)])
    counts, edges = np.histogram(values, 200, (values.min(), values.max()))
    mode = edges[counts.argmax()]
    left, right = values[values < mode], values[values > mode]
    sigma = np.sqrt(((mode - left) ** 2).mean()) if left.size else 0
    b = (right - mode).mean() if right.size else 0
    return np.array([values.min(), values.max(), mode, sigma, b,
                     mode - case.number('low_factor') * sigma, mode + case.number('high_factor') * b])


def weighted(case, s, fitted):
    least, most, _, _, _, low, high = fitted
    far = (s < low) & (s < 0)
    near = (s > high) & (s > 0)
    s = np.where(far, s * (1 + case.number('l1') * np.exp(-(s - least))), s)
    s = np.where(near, s * (1 + case.number('l2') * np.exp(s - most)), s)
    return case.number('mu') * s, far.sum(), near.sum()


def loss_and_gradient(s, b_image, b_text, eta):
    """Four terms; dL/dB of both."""
    m = len(s)
    u_image, u_text = unit(b_image), unit(b_text)
    across, images, texts = u_image @ u_text.T, u_image @ u_image.T, u_text @ u_text.T
    terms = [((across - s) ** 2).mean() + ((across.T - s) ** 2).mean(), -np.diag(across).mean(),
             eta * ((images - s) ** 2).mean(), eta * ((texts - s) ** 2).mean()]
    d_across = 2 * (across - s) / m ** 2 + (2 * (across.T - s) / m ** 2).T - np.eye(m) / m
    d_images, d_texts = eta * 2 * (images - s) / m ** 2, eta * 2 * (texts - s) / m ** 2
    du_image = d_across @ u_text + (d_images + d_images.T) @ u_image
    du_text = d_across.T @ u_image + (d_texts + d_texts.T) @ u_text
    return np.array(terms), unit_backward(b_image, du_image), unit_backward(b_text, du_text)


def main():
    case = Case(sys.argv[1])
    image, text = case.matrix('image'), case.matrix('text')
    m, bits = case.number('batch_size'), case.number('bits')
    fitted = fit(case, image, text)
    case.compare('fit', case['fit.result'], fitted, 1, 2e-6)
    fitted = case['fit.result']

    names = ('image', 'text')
    features = {'image': image, 'text': text}
    nets = {name: Net(case[f'before.{name}.parameters'], features[name].shape[1],
                      case.number(name + '_hidden'), bits) for name in names}
    velocity = {name: np.zeros(nets[name].flat().size) for name in names}
    tails = np.zeros(2, int)
    epoch = 0
    while f'after.{epoch}.terms' in case:
        order = case[f'after.{epoch}.permutation']
        assert sorted(order) == list(range(len(image)))
        a = np.sqrt(epoch + 1)
        before = {name: nets[name].flat() for name in names}
        sums, steps = 0, len(order) // m
        for step in range(steps):
            rows = order[step * m:(step + 1) * m]
            s, far, near = weighted(case, joint_similarity(case, image[rows], text[rows]), fitted)
            tails += far, near
            codes = {name: np.tanh(a * nets[name].forward(features[name][rows])) for name in names}
            terms, *gradients = loss_and_gradient(s, codes['image'], codes['text'], case.number('eta'))
            sums = sums + terms / steps
            for name, gradient in zip(names, gradients):
                gradient = nets[name].backward(a * (1 - codes[name] ** 2) * gradient)
                weights = nets[name].flat()
                velocity[name] = (case.number('momentum') * velocity[name] + gradient +
                                  case.number('weight_decay') * weights)
                nets[name].set(weights - case.number('learning_rate_' + name) * velocity[name])
        case.compare('loss terms', case[f'after.{epoch}.terms'], sums, 1, 1e-5)
        for name in names:
            after = nets[name].flat()
            change = np.abs(after - before[name]).max()
            case.compare('weights, of their change', case[f'after.{epoch}.{name}.parameters'], after, change, 1e-4)
            case.compare('velocity', case[f'after.{epoch}.{name}.moment1'], velocity[name],
                         np.abs(velocity[name]).max(), 1e-4)
        epoch += 1
    print(f'    {epoch} epochs of {steps} steps; values in the left and right tail: {tails[0]}, {tails[1]}')
    assert epoch > 0 and tails.sum() > 0
    case.finish()


main()
