"""GLSL for neuroglancer's image layers; ``normalized`` maps the range in the layer's controls to [0, 1]."""

GREY = """#uicontrol invlerp normalized
void main() {
  emitGrayscale(normalized());
}
"""

MASK = """#uicontrol invlerp normalized(range=[0, 1])
void main() {
  emitRGBA(vec4(0.0, 1.0, 0.0, 0.4 * normalized()));
}
"""


def rgb(channels: tuple[int, ...]) -> str:
    """Red, green and blue are ``channels``; fewer than three leave the others 0."""
    colours = [f"normalized(getDataValue({channel}))" for channel in channels] + ["0.0"] * (3 - len(channels))
    return f"""#uicontrol invlerp normalized(channel={channels[0]})
void main() {{
  emitRGB(vec3({", ".join(colours)}));
}}
"""


def heat(channel: int) -> str:
    """One channel, from blue over green and yellow to red."""
    return f"""#uicontrol invlerp normalized(channel={channel})
void main() {{
  emitRGB(colormapJet(normalized(getDataValue({channel}))));
}}
"""
