"""What belongs to one family of experiments only; the other packages import none of these."""
