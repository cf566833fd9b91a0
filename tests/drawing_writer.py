"""An ECG as a drawing: rows of traces over a grid."""

import numpy as np

RATE = 250  # Hz, of what is drawn


def svg(
    ecg,
    names,
    *,
    columns=1,
    mm=1.0,
    speed=25.0,
    gain=10.0,
    grid=(1, 5),
    text="25 mm/s 10 mm/mV",
    pulse=True,
    size="mm",
    path=True,
    scale=1.0,
) -> bytes:
    """Rows of 30 mm, names above the start of each trace, `mm` units in a millimetre."""
    rows = -(-len(names) // columns)
    width, height = 20 + ecg.shape[1] / RATE * speed, 40 + 30 * rows
    parts = []
    for step in grid:
        stroke = f'stroke="red" stroke-width="{step / 10}"'
        for at in np.arange(0, width, step):
            parts.append(f'<line x1="{at * mm:.4f}" y1="0" x2="{at * mm:.4f}" y2="{height * mm}" {stroke}/>')
        for at in np.arange(0, height, step):
            parts.append(f'<line x1="0" y1="{at * mm:.4f}" x2="{width * mm}" y2="{at * mm:.4f}" {stroke}/>')
    parts.append(f'<text x="5" y="{(height - 3) * mm}">{text}</text>')
    length = ecg.shape[1] // columns
    for place, (name, lead) in enumerate(zip(names, ecg, strict=True)):
        row, column = place % rows, place // rows
        base, left = 30 + 30 * row, 15 + column * length / RATE * speed
        if pulse and column == 0:
            points = [(4, base), (6, base), (6, base - gain), (11, base - gain), (11, base), (13, base)]
            parts.append(
                f'<polyline fill="none" points="{" ".join(f"{x * mm:.4f},{y * mm:.4f}" for x, y in points)}"/>'
            )
        piece = lead[column * length : (column + 1) * length]
        x, y = left + np.arange(length) / RATE * speed, base - piece * gain
        corners = [f"{a * mm:.4f} {b * mm:.4f}" for a, b in zip(x, y, strict=True)]
        drawn = (
            f'<path d="M{corners[0]} L{" ".join(corners[1:])}"/>'
            if path
            else f'<polyline points="{", ".join(corners)}"/>'
        )
        parts.append(f'<g transform="scale({scale})">{drawn}</g>' if scale == 1 else drawn)
        parts.append(f'<text x="{(left + 1) * mm}" y="{(base - 12) * mm}"><tspan>{name}</tspan></text>')
    area = (
        f'width="{width * mm if not size else width}{size}" height="{height}{size}" viewBox="0 0 {width * mm} {height * mm}"'
        if size != "no"
        else ""
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" {area} fill="none" stroke="black">{"".join(parts)}</svg>'.encode()
