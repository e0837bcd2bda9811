"""What a release takes: the parts that are shipped or asked for, under which licences, and a list to go through.

``python -m release check`` goes through the list and changes nothing; ``… sbom DIRECTORY`` writes the bill of
materials.
"""
