"""The assignment as a teacher sets it: what is handed out, handed in and graded."""
