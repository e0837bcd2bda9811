"""What must survive: every table and every SQL statement. The only room that imports SQLAlchemy."""
