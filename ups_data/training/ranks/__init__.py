"""The processes that train one model together: how they find one another, agree, and end together."""
