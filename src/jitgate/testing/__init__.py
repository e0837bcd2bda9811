"""Stand-ins for clouds that ship with jitgate: for its tests, its demo, and whoever writes a connector.

They use nothing but the standard library (AWS's: botocore's errors as well), and no part of the product uses them but
the demo.
"""
