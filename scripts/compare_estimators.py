"""Every estimator of x0* against its closed form for Gaussian data, where the best denoiser is linear.

python scripts/compare_estimators.py

Prints a table: evaluations of the denoiser, largest difference in double precision, and the mean squared error to the truth.
The last shows that no estimator without a look at the truth beats one step with the best denoiser.
"""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests")]

from testkit.gaussian import best, closed_form, problem  # noqa: E402

from sfsr_model.estimators import ESTIMATORS  # noqa: E402
from sfsr_model.estimators.variants import ROLES  # noqa: E402

_ALLOWED = 1e-9
_PROBLEMS = 200


def main() -> int:
    """Print the table; 1 where a difference is more than rounding."""
    roles = {name: role for role, name in ROLES.items()}
    worst = 0.0
    print("| estimator | stands for | evaluations | largest difference | mean squared error |\n|---|---|---|---|---|")
    for name, estimator in ESTIMATORS.items():
        difference, error = 0.0, 0.0
        for seed in range(_PROBLEMS):
            noisy = problem(seed)
            x0 = estimator(best, noisy).x0
            difference = max(difference, float((x0 - closed_form(name, noisy)).abs().max()))
            # Where the background is known there is nothing to compare.
            error += float((x0 - noisy.truth)[..., 4:].square().mean()) / _PROBLEMS
        worst = max(worst, difference)
        role = "a bound" if estimator.bound else roles.get(name, "")
        print(f"| {name} | {role} | {estimator.evaluations} | {difference:.1e} | {error:.4f} |")
    return int(worst > _ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
