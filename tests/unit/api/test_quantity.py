"""Kubernetes' quantities as numbers of bytes."""

import pytest

from llmfleet.api.quantity import quantity_bytes


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("0", 0),
        ("1024", 1024),
        ("16Gi", 16 * 1024**3),
        ("81559Mi", 81_559 * 1024**2),
        ("1.5Gi", 3 * 1024**3 // 2),
        ("80G", 80_000_000_000),
        ("4k", 4000),
        ("2e9", 2_000_000_000),
        ("2E3", 2000),
        ("1E", 10**18),
        (".5Ki", 512),
        ("500m", 1),
        ("1500m", 2),
        ("1n", 1),
    ],
)
def test_as_kubernetes_reads_it(quantity: str, expected: int) -> None:
    assert quantity_bytes(quantity) == expected


@pytest.mark.parametrize("quantity", ["", "Gi", "-1", "16GB", "1 Gi", "1Gib"])
def test_what_is_no_quantity_is_refused(quantity: str) -> None:
    with pytest.raises(ValueError, match="must be a Kubernetes quantity"):
        quantity_bytes(quantity)
