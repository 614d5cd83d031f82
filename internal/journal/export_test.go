package journal

var CheckpointDue = checkpointDue
