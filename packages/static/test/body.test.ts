import { describe, expect, test } from 'vitest'
import { ChunkBudget, FileBody, LARGEST_CHUNK } from '../src/body.ts'
import type { OpenFile } from '../src/source.ts'

const content = Uint8Array.from({ length: 3_000_000 }, (_, at) => at % 251)

interface Probe extends OpenFile {
  readonly reads: [number, number][]
  closed: number
  size: number
}

const fileOf = (size = content.length): Probe => ({
  info: { kind: 'file', size, lastModified: 0, version: 'v' },
  reads: [],
  closed: 0,
  size,
  async read(start, end) {
    this.reads.push([start, end])
    return content.subarray(start, Math.min(end, this.size))
  },
  async close() {
    this.closed++
  }
})

const collect = async (body: AsyncIterable<Uint8Array>): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return new Uint8Array(Buffer.concat(chunks))
}

describe('file body', () => {
  test('streams a file in large reads and closes it at the end', async () => {
    const file = fileOf()
    const body = new FileBody(file, { start: 0, end: content.length }, new ChunkBudget())
    expect(body.size).toBe(content.length)
    expect(Buffer.compare(await collect(body), content)).toBe(0)
    expect(file.reads).toEqual([
      [0, LARGEST_CHUNK],
      [LARGEST_CHUNK, 2 * LARGEST_CHUNK],
      [2 * LARGEST_CHUNK, content.length]
    ])
    expect(file.closed).toBe(1)
  })

  test('reads the next part only on demand', async () => {
    const file = fileOf()
    const iterator = new FileBody(file, { start: 0, end: content.length }, new ChunkBudget())[Symbol.asyncIterator]()
    await iterator.next()
    await new Promise(setImmediate)
    expect(file.reads.length).toBe(1)
    await iterator.return()
    expect(file.closed).toBe(1)
  })

  test('shares memory among many bodies', async () => {
    const budget = new ChunkBudget()
    const open = await Promise.all(
      Array.from({ length: 1000 }, async () => {
        const file = fileOf()
        const iterator = new FileBody(file, { start: 0, end: content.length }, budget)[Symbol.asyncIterator]()
        await iterator.next()
        return { file, iterator }
      })
    )
    expect(budget.active).toBe(1000)
    const last = open.at(-1)!.file.reads[0]!
    expect(last[1] - last[0]).toBe(64 * 1024)
    await Promise.all(open.map(({ iterator }) => iterator.return()))
    expect(budget.active).toBe(0)
    expect(budget.chunkSize).toBe(LARGEST_CHUNK)
  })

  test('streams and slices a part relative to its own start', async () => {
    const body = () => new FileBody(fileOf(), { start: 1000, end: 2_500_000 }, new ChunkBudget())
    expect(body().size).toBe(2_499_000)
    expect(Buffer.compare(await collect(body()), content.subarray(1000, 2_500_000))).toBe(0)
    expect([...(await body().read(5, 8))]).toEqual([...content.subarray(1005, 1008)])
    expect((await body().read(2_498_990, 9e9)).length).toBe(10)
    expect((await body().read(9e9, 9e9 + 1)).length).toBe(0)
    expect((await body().read(-5, 2)).length).toBe(2)
  })

  test('reads only the bytes of a slice', async () => {
    const file = fileOf()
    await new FileBody(file, { start: 0, end: content.length }, new ChunkBudget()).read(64, 128)
    expect(file.reads).toEqual([[64, 128]])
  })

  test('completes a slice over short reads', async () => {
    const file = fileOf()
    file.read = async (start, end) => content.subarray(start, Math.min(end, start + 7))
    const slice = await new FileBody(file, { start: 0, end: content.length }, new ChunkBudget()).read(100, 200)
    expect(Buffer.compare(slice, content.subarray(100, 200))).toBe(0)
  })

  test('fails and closes the file when the file gets shorter', async () => {
    const file = fileOf()
    const body = new FileBody(file, { start: 0, end: content.length }, new ChunkBudget())
    const iterator = body[Symbol.asyncIterator]()
    await iterator.next()
    file.size = LARGEST_CHUNK + 5
    expect((await iterator.next()).value?.length).toBe(5)
    await expect(iterator.next()).rejects.toThrow(/shorter/)
    expect(file.closed).toBe(1)
    const late = new FileBody(file, { start: 0, end: content.length }, new ChunkBudget())
    await expect(late.read(2 * LARGEST_CHUNK, 2 * LARGEST_CHUNK + 1)).rejects.toThrow(/shorter/)
  })

  test('fails a read when its signal aborts', async () => {
    const body = new FileBody(fileOf(), { start: 0, end: content.length }, new ChunkBudget())
    await expect(body.read(0, 1, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
  })

  test('refuses a part when the file has been written to, so that two contents never mix', async () => {
    const file = fileOf()
    let unchanged = true
    file.isUnchanged = async () => unchanged
    const body = new FileBody(file, { start: 0, end: content.length }, new ChunkBudget())
    expect((await body.read(0, 10)).length).toBe(10)
    unchanged = false
    await expect(body.read(10, 20)).rejects.toMatchObject({ status: 409, code: 'file-changed' })
  })

  test('refuses to read after close', async () => {
    const file = fileOf()
    const body = new FileBody(file, { start: 0, end: content.length }, new ChunkBudget())
    const iterator = body[Symbol.asyncIterator]()
    await iterator.next()
    await body.close()
    await expect(iterator.next()).rejects.toThrow('closed')
    await expect(body.read(0, 1)).rejects.toThrow('closed')
    expect(file.reads.length).toBe(1)
  })

  test('opens a lazy body once, and not at all if it is never read', async () => {
    let opens = 0
    const file = fileOf()
    const open = async () => {
      opens++
      return file
    }
    await new FileBody(open, { start: 0, end: 10 }, new ChunkBudget()).close()
    expect(opens).toBe(0)
    const body = new FileBody(open, { start: 0, end: 10 }, new ChunkBudget())
    await Promise.all([body.read(0, 5), body.read(5, 10)])
    await body.close()
    expect([opens, file.closed]).toEqual([1, 1])
  })

  test('closes an unread body with its owner', async () => {
    const file = fileOf()
    await new FileBody(file, { start: 0, end: 1 }, new ChunkBudget())[Symbol.asyncDispose]()
    expect(file.closed).toBe(1)
  })
})
