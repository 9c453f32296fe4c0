/** Waits until a condition holds, looking every few milliseconds; rejects after `limit` ms, naming what was waited for. */
export async function eventually(condition: () => boolean, what: string, limit = 5000): Promise<void> {
  const end = performance.now() + limit
  while (!condition()) {
    if (performance.now() > end) throw new Error(`Not within ${limit} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}
