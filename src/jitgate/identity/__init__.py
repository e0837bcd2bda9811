"""Who somebody is, and by what that is proven."""
