"""Work on exported programs: from torch.export to engine calls, and from these to delegates."""
