"""What a frozen encoder is worth: features, protocols that score them, pictures."""
