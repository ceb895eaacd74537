"""What a forge sends when somebody pushes: who sent it, who signed it, which commit it names.

Pure: secrets, times and limits are handed in.
"""
