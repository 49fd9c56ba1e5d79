"""CCA-ITQ: linear codes without training by gradients, from the same features.

Canonical correlation analysis finds directions in both modalities whose projections
correlate most (ridge: a share of the mean variance is added to each covariance, else rare
words decide); each is weighted by its correlation.  Iterative quantization rotates the
projections so that their signs change them least: it alternates between the codes of the
rotated rows, and the rotation nearest to them (orthogonal Procrustes).  "Iterative
Quantization: A Procrustean Approach to Learning Binary Codes for Large-Scale Image
Retrieval", IEEE TPAMI 35 (2013), doi 10.1109/TPAMI.2012.193, with CCA as there; here both
modalities' rows are rotated alike.

CCA gives at most min(d_image, d_text) components, the last of them noise.  For more bits
than components, further rotations of the same projections from other random starts give the
missing bits: no longer ITQ's own, but the best use of the projections that keeps to it.
"""
import numpy as np

ITERATIONS = 50


def correlate(image, text, ridge):
    """Means and weighted directions: (mean, [d × c]) of each modality, strongest first."""
    means = [part.mean(axis=0) for part in (image, text)]
    centred = [part - mean for part, mean in zip((image, text), means)]
    roots = []
    for part in centred:
        covariance = part.T @ part / len(part)
        covariance += ridge * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        values, vectors = np.linalg.eigh(covariance)
        roots.append(vectors / np.sqrt(values) @ vectors.T)    # its inverse root
    cross = roots[0] @ (centred[0].T @ centred[1] / len(image)) @ roots[1]
    left, correlations, right = np.linalg.svd(cross, full_matrices=False)
    return [(mean, root @ directions * correlations)
            for mean, root, directions in zip(means, roots, (left, right.T))]


def rotation(rows, random):
    """The rotation [c × c] that ITQ finds for rows [n × c]."""
    components = rows.shape[1]
    found = np.linalg.qr(random.standard_normal((components, components)))[0]
    for _ in range(ITERATIONS):
        left, _, right = np.linalg.svd(rows.T @ np.where(rows @ found > 0, 1., -1.))
        found = left @ right
    return found


class CcaItq:
    """Fitted to training pairs; encode() gives 0/1 [rows × bits]."""

    def __init__(self, image, text, bits, seed, ridge, known=None):
        """known: what correlate() found, which neither bits nor seed change."""
        known = known or correlate(image.astype(np.float64), text.astype(np.float64), ridge)
        components = min(bits, known[0][1].shape[1])
        self.projections = [(mean, directions[:, :components]) for mean, directions in known]
        rows = np.concatenate([self.project(0, image), self.project(1, text)])
        random = np.random.default_rng(seed)
        count = -(-bits // components)
        self.rotations = np.concatenate([rotation(rows, random) for _ in range(count)], axis=1)[:, :bits]

    def project(self, modality, features):
        mean, directions = self.projections[modality]
        return (features - mean) @ directions

    def encode(self, modality, features):
        return (self.project(modality, features) @ self.rotations > 0).astype(np.uint8)
