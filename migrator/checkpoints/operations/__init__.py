"""The operations on arrays: by index where the bytes of the chunks stay, else streamed."""
