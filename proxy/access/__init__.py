"""The joint between request and policy: from request, identity and connection to questions, and to a verdict."""
