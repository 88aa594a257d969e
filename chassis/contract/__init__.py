"""What the protos and the manifests declare, as Python values, and the forms every answer keeps to."""
