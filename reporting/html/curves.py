"""Loss curves as an image, draw_image with Pillow: small multiples, one panel for each loss."""

from PIL import Image, ImageDraw, ImageFont

Points = list[tuple[float, float]]

PANEL, GAP, HEAD = (300, 130), 16, 26  # pixels; a panel, the space between two, its title
PAPER, INK, FAINT, LINE, SMOOTH = "#ffffff", "#333333", "#dddddd", "#b7cbe8", "#2f6fc4"


def draw_curves(curves: dict[str, Points], columns: int = 4) -> Image.Image:
    """One panel for each entry of ``curves``: the points (x, y), and their running mean in bold."""
    rows = -(-max(1, len(curves)) // columns)
    size = (columns * (PANEL[0] + GAP) + GAP, rows * (PANEL[1] + HEAD + GAP) + GAP)
    image = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(image)
    for i, (name, points) in enumerate(curves.items()):
        left = GAP + (i % columns) * (PANEL[0] + GAP)
        top = GAP + (i // columns) * (PANEL[1] + HEAD + GAP)
        _panel(pen, left, top, name, points)
    return image


def _panel(pen: ImageDraw.ImageDraw, left: int, top: int, name: str, points: Points) -> None:
    small = ImageFont.load_default(12)
    values = [y for _, y in points]
    high = max(values, default=0) or 1.0
    pen.text((left, top), name, fill=INK, font=ImageFont.load_default(15))
    pen.text((left + PANEL[0], top + 2), f"{values[-1]:.3f}" if values else "", INK, small, "ra")
    top += HEAD
    pen.rectangle((left, top, left + PANEL[0], top + PANEL[1]), outline=FAINT)
    pen.text((left + 4, top + 2), f"{high:.3g}", fill="#888888", font=small)
    for line, color, width in ((points, LINE, 1), (smoothed(points), SMOOTH, 2)):
        pen.line(_to_pixels(line, left, top, high), fill=color, width=width)


def _to_pixels(points: Points, left: int, top: int, high: float) -> Points:
    """Scale to the panel: the first x at the left, the last at the right; 0 below, high above."""
    if not points:
        return []
    first, last = points[0][0], points[-1][0]
    span = (last - first) or 1
    return [
        (left + PANEL[0] * (x - first) / span, top + PANEL[1] * (1 - max(0.0, y) / high))
        for x, y in points
    ]


def smoothed(points: Points, share: float = 0.05) -> Points:
    """The running mean with a memory of about ``share`` of the points, without the usual bias."""
    keep = 1 - 1 / max(1.0, share * len(points))
    mean = weight = 0.0
    line = []
    for x, y in points:
        mean, weight = keep * mean + (1 - keep) * y, keep * weight + (1 - keep)
        line.append((x, mean / weight))
    return line
