"""The programs besides zmart-core that every cluster has, as functions of one running instruction."""
