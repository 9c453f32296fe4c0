import { IopaError, reply } from '@iopa/appbuilder'
import { describe, expect, test } from 'vitest'
import { OPTION } from '../src/codec/option-registry.ts'
import { ANNOUNCED, piece, type UploadHome, uploadHome } from './upload-home.ts'

const LARGE = { options: [ANNOUNCED] }

/** Adds a route that reads block by block, each when `step` is called; and what it has seen. */
const stepwise = ({ app }: UploadHome) => {
  const seen: (number | string)[] = []
  let go: () => void = () => undefined
  app.put('/firmware', async context => {
    seen.push('begins')
    try {
      for await (const chunk of context.body ?? []) {
        seen.push(chunk.length)
        await new Promise<void>(resolve => {
          go = resolve
        })
      }
      seen.push('ends')
    } catch (error) {
      seen.push((error as IopaError).code)
      throw error
    }
    return reply(201)
  })
  return { seen, step: () => go() }
}

describe('a body that is read while it arrives', () => {
  test('runs its handler with block 0, which it takes before the client sends the next, and answers the last block', async () => {
    await using home = uploadHome()
    const { seen, step } = stepwise(home)
    await home.listen()
    const client = await home.uploader()
    expect(await client.put('/firmware', 0, true, LARGE)).toBe('2.31')
    expect(seen).toEqual(['begins', 1024])
    step()
    expect(await client.put('/firmware', 1, true)).toBe('2.31')
    // The handler is busy with block 1: block 2 waits, acknowledged, without a response.
    client.post('/firmware', 2, true)
    await home.clock.advance(5000)
    expect(client.codes).toEqual(['2.31', '2.31', '0.00'])
    expect(seen).toEqual(['begins', 1024, 1024])
    step()
    await home.clock.advance(10)
    expect(client.codes.at(-1)).toBe('2.31')
    expect(seen).toEqual(['begins', 1024, 1024, 1024])
    step()
    client.post('/firmware', 3, false)
    await home.clock.advance(10)
    expect(seen.at(-1)).toBe(10)
    step()
    await home.clock.advance(10)
    expect([seen.at(-1), client.codes.at(-1)]).toEqual(['ends', '2.01'])
    expect(home.app.live).toBe(0)
  })

  test('begins as soon as more has come than is collected, where no size is announced', async () => {
    await using home = uploadHome()
    const chunks: number[] = []
    home.app.put('/firmware', async context => {
      for await (const chunk of context.body ?? []) chunks.push(chunk.length)
    })
    await home.listen()
    const client = await home.uploader()
    for (let num = 0; num < 5; num++) {
      expect(await client.put('/firmware', num, true)).toBe('2.31')
      expect(chunks.length > 0).toBe(num >= 2)
    }
    expect(await client.put('/firmware', 5, false)).toBe('2.04')
    expect(chunks).toEqual([3072, 1024, 1024, 10])
  })

  test('is the same to bytes(), text() and json()', async () => {
    await using home = uploadHome()
    const bodies: Uint8Array[] = []
    home.app.put('/bytes', async context => void bodies.push(await context.bytes()))
    home.app.put('/json', async context => context.json())
    await home.listen()
    const client = await home.uploader()
    for (let num = 0; num < 4; num++) await client.put('/bytes', num, true, LARGE)
    expect(await client.put('/bytes', 4, false)).toBe('2.04')
    expect(Buffer.concat([piece(0), piece(1), piece(2), piece(3), piece(4, 10)]).equals(bodies[0]!)).toBe(true)
    // JSON is asked for: another format is refused at block 0.
    expect(await client.put('/json', 0, true, { options: [[OPTION.CONTENT_FORMAT, 42], ANNOUNCED] })).toBe('4.15')
    expect(home.app.live).toBe(0)
  })

  test('is judged at block 0: path, method, user, precondition and size', async () => {
    await using home = uploadHome()
    let handled = 0
    const guard = (): never => {
      throw new IopaError(401, 'credentials-missing')
    }
    home.app.put('/private', guard, () => void handled++)
    home.app.get('/read', () => 'state')
    home.app.get('/state', () => reply(200, 'state', { etag: '"v2"' }))
    home.app.put('/state', () => void handled++)
    await home.listen()
    const client = await home.uploader()
    const first = (path: string, ...options: (readonly [number, Uint8Array | string | number])[]) =>
      client.put(path, 0, true, { options: [...options, ANNOUNCED] })
    expect(await first('/nowhere')).toBe('4.04')
    expect(await first('/read')).toBe('4.05')
    expect(await first('/private')).toBe('4.01')
    expect(await first('/state', [OPTION.IF_MATCH, 'v1'])).toBe('4.12')
    expect(await client.put('/state', 0, true, { options: [[OPTION.SIZE1, 1_000_000]] })).toBe('4.13')
    expect(client.inbox.at(-1)!.options.uint(OPTION.SIZE1)).toBe(64 * 1024)
    expect(handled).toBe(0)
    expect(home.app.live).toBe(0)
  })

  test('ends with an error of its handler at the block that waits, or at the next one', async () => {
    await using home = uploadHome()
    home.app.put('/at-once', async context => {
      for await (const chunk of context.body ?? []) if (chunk[0] === 1) throw new IopaError(422, 'bad-firmware')
    })
    home.app.put('/later', async context => {
      for await (const _ of context.body ?? []) break
      await new Promise<void>(resolve => home.clock.setTimeout(resolve, 500))
      throw new IopaError(409, 'conflict')
    })
    await home.listen()
    const client = await home.uploader()
    await client.put('/at-once', 0, true, LARGE)
    // Its Continue was sent when the handler took it.
    expect(await client.put('/at-once', 1, true)).toBe('2.31')
    expect(await client.put('/at-once', 2, true)).toBe('4.22')
    expect(await client.put('/at-once', 3, true)).toBe('4.08')
    expect(await client.put('/later', 0, true, LARGE)).toBe('2.31')
    await home.clock.advance(1000)
    expect(await client.put('/later', 1, true)).toBe('4.09')
    expect(home.app.live).toBe(0)
  })

  test('whose handler succeeds without reading it all is taken to its end, and answered there', async () => {
    await using home = uploadHome()
    let runs = 0
    home.app.put('/firmware', () => {
      runs++
      return reply(201)
    })
    await home.listen()
    const client = await home.uploader()
    for (let num = 0; num < 4; num++) expect(await client.put('/firmware', num, true, LARGE)).toBe('2.31')
    expect(await client.put('/firmware', 4, false)).toBe('2.01')
    expect([runs, home.app.live]).toEqual([1, 0])
  })

  test('begins again with block 0: the body before ends with an error, once', async () => {
    await using home = uploadHome()
    const seen: string[] = []
    home.app.put('/firmware', async context => {
      let length = 0
      try {
        for await (const chunk of context.body ?? []) length += chunk.length
        seen.push(`${length} bytes`)
      } catch (error) {
        seen.push(`${length} bytes, then ${(error as IopaError).code}`)
        // A handler that swallows the error has no answer either.
      }
    })
    await home.listen()
    const client = await home.uploader()
    for (const num of [0, 1]) await client.put('/firmware', num, true, LARGE)
    expect(await client.put('/firmware', 0, true, LARGE)).toBe('2.31')
    expect([seen, home.app.live]).toEqual([['2048 bytes, then incomplete-request'], 1])
    expect(await client.put('/firmware', 1, false)).toBe('2.04')
    expect([seen.slice(1), home.app.live]).toEqual([['1034 bytes'], 0])
  })

  test('that is given up has its place until its handler is done, however often the client begins', async () => {
    await using home = uploadHome({ requestTimeout: 5000 })
    let running = 0
    home.app.put('/slow', async ({ signal }) => {
      running++
      await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
      running--
    })
    await home.listen()
    const [ours, other] = [await home.uploader(), await home.uploader('10.0.0.3')]
    for (let at = 0; at < 200; at++) ours.post('/slow', 0, true, { options: [ANNOUNCED] })
    await home.clock.advance(500)
    expect(running).toBe(17)
    expect(ours.codes).toContain('5.03')
    other.post('/slow', 0, true, { options: [ANNOUNCED] })
    await home.clock.advance(500)
    expect(running).toBe(18)
    await home.clock.advance(60_000)
    expect(running).toBe(0)
    ours.post('/slow', 0, true, { options: [ANNOUNCED] })
    await home.clock.advance(500)
    expect(running).toBe(1)
  })

  test('belongs to the endpoint that began it', async () => {
    await using home = uploadHome()
    const bodies: Uint8Array[] = []
    home.app.put('/firmware', async context => void bodies.push(await context.bytes()))
    await home.listen()
    const [owner, other] = [await home.uploader(), await home.uploader('10.0.0.3')]
    const tagged = { options: [[OPTION.REQUEST_TAG, 'tag'], ANNOUNCED] as const }
    expect(await owner.put('/firmware', 0, true, tagged)).toBe('2.31')
    expect(await other.put('/firmware', 1, true, tagged)).toBe('4.08')
    expect(await other.put('/firmware', 1, false, tagged)).toBe('4.08')
    expect(await owner.put('/firmware', 1, false, tagged)).toBe('2.04')
    expect(bodies.map(({ length }) => length)).toEqual([1034])
  })

  test('takes the newest block once more under another message id, and waits with it', async () => {
    await using home = uploadHome()
    const { seen, step } = stepwise(home)
    await home.listen()
    const client = await home.uploader()
    expect(await client.put('/firmware', 0, true, LARGE)).toBe('2.31')
    step()
    expect(await client.put('/firmware', 1, true)).toBe('2.31')
    expect(await client.put('/firmware', 1, true)).toBe('2.31')
    client.post('/firmware', 2, true)
    await home.clock.advance(10)
    const before = client.inbox.length
    client.post('/firmware', 2, true, { token: 'again' })
    await home.clock.advance(1000)
    step()
    await home.clock.advance(10)
    const answers = client.inbox.slice(before).filter(({ code }) => code !== 0)
    expect(answers.map(({ token }) => Buffer.from(token).toString())).toEqual(['again'])
    step()
    client.post('/firmware', 3, false)
    client.post('/firmware', 3, false, { token: 'last' })
    await home.clock.advance(10)
    step()
    await home.clock.advance(10)
    expect([client.codes.at(-1), Buffer.from(client.inbox.at(-1)!.token).toString()]).toEqual(['2.01', 'last'])
    expect(seen).toEqual(['begins', 1024, 1024, 1024, 10, 'ends'])
    expect(home.app.live).toBe(0)
  })

  test('costs its endpoint one place, however often a block that waits is sent', async () => {
    await using home = uploadHome({ inFlightPerConnection: 4 })
    const { step } = stepwise(home)
    await home.listen()
    const client = await home.uploader()
    await client.put('/firmware', 0, true, LARGE)
    for (let again = 0; again < 10; again++) {
      client.post('/firmware', 1, true)
      await home.clock.advance(200)
    }
    step()
    await home.clock.advance(10)
    expect(new Set(client.codes)).toEqual(new Set(['2.31', '0.00']))
  })

  test('refuses a gap, and a block before the one that waits is taken', async () => {
    await using home = uploadHome()
    const { seen, step } = stepwise(home)
    await home.listen()
    const client = await home.uploader()
    await client.put('/firmware', 0, true, LARGE)
    expect(await client.put('/firmware', 2, true)).toBe('4.08')
    client.post('/firmware', 1, true)
    expect(await client.put('/firmware', 2, true)).toBe('5.03')
    step()
    await home.clock.advance(10)
    expect(seen).toEqual(['begins', 1024, 1024])
    step()
    expect(await client.put('/firmware', 2, true)).toBe('2.31')
  })

  test('goes on in smaller blocks', async () => {
    await using home = uploadHome()
    const bodies: Uint8Array[] = []
    home.app.put('/firmware', async context => void bodies.push(await context.bytes()))
    await home.listen()
    const client = await home.uploader()
    expect(await client.put('/firmware', 0, true, LARGE)).toBe('2.31')
    expect(await client.put('/firmware', 4, true, { szx: 4 })).toBe('2.31')
    expect(await client.put('/firmware', 5, true, { szx: 4 })).toBe('2.31')
    expect(await client.put('/firmware', 6, false, { szx: 4 })).toBe('2.04')
    expect(Buffer.concat([piece(0), piece(4, 256), piece(5, 256), piece(6, 10)]).equals(bodies[0]!)).toBe(true)
  })

  test('ends when the client has vanished, and its request with it', async () => {
    await using home = uploadHome()
    const { seen, step } = stepwise(home)
    await home.listen()
    const client = await home.uploader()
    await client.put('/firmware', 0, true, LARGE)
    step()
    await home.clock.advance(240_000)
    expect([seen, home.app.live]).toEqual([['begins', 1024], 1])
    await home.clock.advance(30_000)
    expect([seen, home.app.live]).toEqual([['begins', 1024, 'incomplete-request'], 0])
    expect(await client.put('/firmware', 1, true)).toBe('4.08')
  })

  test('over the limit is 4.13 with Size1, and an error for its handler', async () => {
    await using home = uploadHome({ body: 4096 })
    let failure: unknown
    home.app.put('/firmware', async context => {
      try {
        for await (const _ of context.body ?? []);
      } catch (error) {
        failure = (error as IopaError).code
        throw error
      }
    })
    await home.listen()
    const client = await home.uploader()
    for (let num = 0; num < 4; num++) expect(await client.put('/firmware', num, true)).toBe('2.31')
    expect(await client.put('/firmware', 4, true)).toBe('4.13')
    expect(client.inbox.at(-1)!.options.uint(OPTION.SIZE1)).toBe(4096)
    expect([failure, home.app.live]).toEqual(['body-too-large', 0])
  })

  test('has a deadline only while its handler is awaited', async () => {
    await using home = uploadHome()
    const { seen, step } = stepwise(home)
    await home.listen()
    const client = await home.uploader()
    for (let num = 0; num < 4; num++) {
      expect(await client.put('/firmware', num, true, LARGE)).toBe('2.31')
      step()
      // The client takes its time: longer than a request may.
      await home.clock.advance(40_000)
    }
    expect(await client.put('/firmware', 4, true)).toBe('2.31')
    client.post('/firmware', 5, true)
    await home.clock.advance(29_000)
    expect(client.codes.at(-1)).toBe('0.00')
    await home.clock.advance(6000)
    expect(client.codes.at(-1)).toBe('5.04')
    expect(seen.filter(entry => entry === 1024)).toHaveLength(5)
  })

  test('ends when the app closes', async () => {
    const home = uploadHome()
    const { seen, step } = stepwise(home)
    await home.listen()
    const client = await home.uploader()
    await client.put('/firmware', 0, true, LARGE)
    step()
    await home.clock.settle()
    await home.clock.runUntil(home.app.close({ timeout: 1000 }))
    expect([seen.at(-1), home.app.live]).toEqual(['incomplete-request', 0])
  })

  test('has a place among sixteen of its endpoint', async () => {
    await using home = uploadHome()
    home.app.put('/firmware', async context => void (await context.bytes()))
    await home.listen()
    const client = await home.uploader()
    const begin = (tag: number) => client.put('/firmware', 0, true, { options: [[OPTION.REQUEST_TAG, `${tag}`], ANNOUNCED] })
    for (let tag = 0; tag < 16; tag++) expect(await begin(tag)).toBe('2.31')
    expect(await begin(16)).toBe('5.03')
    expect(home.app.live).toBe(16)
    expect(await client.put('/firmware', 1, false, { options: [[OPTION.REQUEST_TAG, '3']] })).toBe('2.04')
    expect(await begin(16)).toBe('2.31')
  })
})
