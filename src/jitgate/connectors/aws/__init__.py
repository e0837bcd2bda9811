"""AWS: EC2 instances behind security groups. The only room with boto3, which is an extra: `jitgate[aws]`."""
