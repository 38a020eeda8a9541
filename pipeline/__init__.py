"""What happens to one clip: tensors in, tensors out. No disk layout, no progress bars, no zarr."""
