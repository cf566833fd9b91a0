"""Contrastive pre-training: the loop and what it needs."""
