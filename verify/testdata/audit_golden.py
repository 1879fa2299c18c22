#!/usr/bin/env python3
"""Makes audit_golden.json: what scikit-learn, SciPy and PyTorch compute where the audit has arithmetic of its own.

    audit_golden.py > audit_golden.json

The inputs are drawn here, rounded so that their decimals are exact, and written beside the results.
"""
import json
import sys

import numpy as np
import scipy
import scipy.optimize
import scipy.special
import scipy.stats
import sklearn
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.preprocessing import StandardScaler

rng = np.random.default_rng(1)


def draw(*shape, scale=1.0):
    return np.round(rng.normal(size=shape) * scale, 3)


def wilson():
    for hits, n in (0, 1), (1, 1), (0, 10), (8, 10), (50, 100), (997, 1000), (123, 1000):
        ci = scipy.stats.binomtest(hits, n).proportion_ci(0.95, "wilson")
        yield dict(hits=hits, n=n, low=ci.low, high=ci.high)


def student():
    for n in range(2, 11):
        x = draw(n)
        low, high = scipy.stats.t.interval(0.95, n - 1, x.mean(), scipy.stats.sem(x))
        yield dict(values=x.tolist(), value=x.mean(), low=low, high=high)


def auc():
    """The variance by the definition of DeLong et al.: placements of every score among those of the other kind."""
    for m, n, digits in (7, 11, 3), (40, 90, 1), (3, 4, 0):
        pos, neg = np.round(rng.normal(size=m) + 0.7, digits), np.round(rng.normal(size=n), digits)
        wins = (pos[:, None] > neg) + 0.5 * (pos[:, None] == neg)
        value = roc_auc_score([1] * m + [0] * n, np.concatenate([pos, neg]))
        assert abs(value - wins.mean()) < 1e-12
        se = np.sqrt(wins.mean(1).var(ddof=1) / m + wins.mean(0).var(ddof=1) / n)
        half = scipy.stats.norm.ppf(0.975) * se
        yield dict(positive=pos.tolist(), negative=neg.tolist(), value=value, low=max(0, value - half), high=min(1, value + half))


def clusters(n, d, k, spread):
    centres, y = draw(k, d), np.arange(n) % k
    x = np.round(centres[y] + draw(n, d, scale=spread), 3) * np.linspace(0.1, 30, d).round(3) + 5
    return x.round(3), y


def probe():
    """Every class has its column of the weights, whose mean over the classes is 0."""
    x, y = clusters(700, 6, 4, 0.8)
    test, truth = x[500:], y[500:]
    x, y = x[:500], y[:500]
    scaler = StandardScaler().fit(x)
    fit = LogisticRegression(C=1, tol=1e-12, max_iter=100000).fit(scaler.transform(x), y)
    w = np.vstack([fit.coef_.T, fit.intercept_])
    return dict(x=x.ravel().tolist(), labels=y.tolist(), test=test.ravel().tolist(), classes=4,
                weights=(w - w.mean(1, keepdims=True)).ravel().tolist(),
                predictions=fit.predict(scaler.transform(test)).tolist(), accuracy=fit.score(scaler.transform(test), truth))


def retune():
    """Minimised by trust-exact Newton with the whole Hessian, in the scaled units of the definition."""
    n, d, k = 15, 8, 3
    x, y, w0 = np.maximum(draw(n, d, scale=3.0), 0), np.arange(n) % k, draw(d + 1, k)
    rms = np.sqrt((x ** 2).mean())
    one = torch.tensor(np.hstack([x / rms, np.ones((n, 1))]))
    start = torch.tensor(w0 * np.array([rms] * d + [1])[:, None])
    labels = torch.tensor(y)

    def loss(flat):
        w = flat.reshape(d + 1, k)
        return torch.nn.functional.cross_entropy(one @ w, labels, reduction="sum") + 0.5 * ((w - start)[:d] ** 2).sum()

    def gradient(v):
        v = torch.tensor(v, requires_grad=True)
        return torch.autograd.grad(loss(v), v)[0].numpy()

    best = scipy.optimize.minimize(lambda v: loss(torch.tensor(v)).item(), start.flatten().numpy(), jac=gradient,
                                   hess=lambda v: torch.autograd.functional.hessian(loss, torch.tensor(v)).numpy(),
                                   method="trust-exact", options=dict(gtol=1e-12)).x.reshape(d + 1, k)
    best[:d] /= rms
    best[d] += w0[d].mean() - best[d].mean()  # what is common to all intercepts is free
    return dict(x=x.ravel().tolist(), labels=y.tolist(), classes=k, w0=w0.ravel().tolist(), weights=best.ravel().tolist())


def membership():
    for n, shift in (40, 0.0), (60, 0.6), (25, 2.0):
        members, others = np.abs(draw(n)), np.abs(draw(n)) + shift
        x, y = np.concatenate([members, others])[:, None], np.array([1] * n + [0] * n)
        fold = np.array([i * 10 // n for i in range(n)] * 2)
        guess = cross_val_predict(LogisticRegression(C=1, tol=1e-12, max_iter=100000), x, y, cv=PredefinedSplit(fold))
        yield dict(members=members.tolist(), others=others.tolist(), hits=int((guess == y).sum()))


def int8():
    for n in 5, 64:
        w = torch.tensor(draw(n), dtype=torch.float32)
        step = w.abs().max().item() / 127
        yield dict(weights=w.tolist(), rounded=torch.fake_quantize_per_tensor_affine(w.double(), step, 0, -127, 127).tolist())


json.dump(dict(
    made_by=dict(script="audit_golden.py", python=sys.version.split()[0], numpy=np.__version__, scipy=scipy.__version__,
                 scikit_learn=sklearn.__version__, torch=torch.__version__),
    wilson=list(wilson()), student=list(student()), auc=list(auc()), probe=probe(), retune=retune(),
    membership=list(membership()), int8=list(int8()),
), sys.stdout, indent=None, separators=(",", ":"))
print()
