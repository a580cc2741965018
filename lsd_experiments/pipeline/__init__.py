"""From raw to an evaluated segmentation: the stages of 03_predict/, their configuration and their commands.

    predict -> extract_fragments -> agglomerate -> find_segments -> evaluate -> extract_segmentation

Each stage reads what the ones before wrote, and does nothing if its output is there already.
"""
