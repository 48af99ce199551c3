"""What all parts agree on: feature schemas, the bundle manifest, messages, topics and errors."""
