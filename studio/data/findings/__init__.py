"""What the stage says about the file: findings in sentences, near-duplicates, and the repairs on offer."""
