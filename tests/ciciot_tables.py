"""Tables in exactly the layouts of the official CICIoT2023 releases, with made-up rows."""

import io

import numpy as np

from emtc_contract.ciciot2023 import CICIOT2023_39, CICIOT2023_46

CLASSES = ("BenignTraffic", "DDoS-ICMP_Flood", "DDoS-SlowLoris", "Mirai-udpplain", "Recon-PortScan", "XSS")


def values(rows, columns, seed):
    """(rows, columns) values with two decimals, as means over 100 frames have."""
    return np.round(np.random.default_rng(seed).gamma(0.5, 20, (rows, columns)), 2)


def table(generation, rows, seed=1, label="label", classes=CLASSES):
    """Text of a table; ``label`` None leaves the column out."""
    columns = list((CICIOT2023_46 if generation == 46 else CICIOT2023_39).columns)
    numbers = values(rows, len(columns), seed)
    names = np.random.default_rng(seed + 1).choice(classes, rows)
    out = io.StringIO()
    out.write(",".join(columns + ([label] if label else [])) + "\n")
    lines = io.StringIO()
    np.savetxt(lines, numbers, fmt="%.2f", delimiter=",")
    for line, name in zip(lines.getvalue().splitlines(), names, strict=True):
        out.write(f"{line},{name}\n" if label else f"{line}\n")
    return out.getvalue()
