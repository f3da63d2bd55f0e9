"""What the tabs of the studio compute, one module for each; no page and no browser is involved."""
