"""What operators are made of: the door of a call, gradients, structures, spectra, sizes."""
