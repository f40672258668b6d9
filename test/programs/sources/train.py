import torch
from facts import tell
from torch.utils.data import DataLoader, Dataset


class Points(Dataset):
    def __len__(self):
        return 100_000

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        x = torch.randn(64, generator=generator)
        return x, x.sum().sin().unsqueeze(0)


if __name__ == '__main__':
    torch.manual_seed(7)
    torch.set_num_threads(2)
    model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 1))
    optimizer = torch.optim.Adam(model.parameters())
    loader = DataLoader(Points(), batch_size=64, num_workers=2, persistent_workers=True, shuffle=True)
    step, first, mean = 0, None, None
    while True:
        batches = iter(loader)
        workers = ','.join(str(worker.pid) for worker in batches._workers)
        for x, y in batches:
            loss = torch.nn.functional.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            mean = loss.item() if mean is None else 0.99 * mean + 0.01 * loss.item()
            first = first or mean
            learns = 'yes' if mean <= first * 1.5 else 'no'
            tell(step=step, learns=learns, workers=workers, seed=torch.initial_seed())
