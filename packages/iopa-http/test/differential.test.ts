import { METHODS } from 'node:http'
import { seededRandom } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { conversation, pieces } from './request-mutation.ts'
import { nodeReader, ownReader } from './wire.ts'

const runs = Number(process.env['IOPA_FUZZ'] ?? 1000)
const seed = Number(process.env['IOPA_SEED'] ?? 9112)

describe('the parser on random input', () => {
  test(`reads accepted requests as node:http does, wherever they are cut (${runs})`, { timeout: 60_000 + runs * 10 }, async () => {
    const random = seededRandom(seed)
    const own = await ownReader()
    const node = nodeReader()
    let taken = 0
    let refused = 0
    for (let run = 0; run < runs; run++) {
      const bytes = conversation(random)
      const shown = JSON.stringify(Buffer.from(bytes).toString('latin1'))
      const verdict = await own([bytes])
      const cut = pieces(bytes, random)
      const again = await own(cut)
      expect(again, `cut at ${cut.map(({ length }) => length)}: ${shown}`).toEqual(verdict)
      if (verdict.requests.every(request => request === null)) continue
      const readings = await node(bytes)
      for (const [at, request] of verdict.requests.entries()) {
        // A method is any token here; node knows a list of them, and reads no further at another.
        if (request !== null && !METHODS.includes(request.method)) break
        if (request === null) refused++
        else {
          taken++
          expect(request, `request ${at} of ${shown}`).toEqual(readings[at])
        }
      }
    }
    // Neither a parser that takes nothing nor one that takes all would prove anything.
    expect(taken).toBeGreaterThan(runs / 2)
    expect(refused).toBeGreaterThan(runs / 10)
  })
})
