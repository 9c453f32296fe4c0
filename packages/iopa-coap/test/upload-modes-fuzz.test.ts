// The same blocks to a server that collects every body and to one that reads every body while it arrives: the same answers, and the same bodies.

import { reply } from '@iopa/appbuilder'
import { seededRandom } from '@iopa/testing'
import { expect, test } from 'vitest'
import { OPTION } from '../src/codec/option-registry.ts'
import { piece, uploadHome } from './upload-home.ts'

const ROUNDS = Number(process.env['IOPA_FUZZ'] ?? 0) || 8

/** One step of a client: a block, for the body of a tag. */
interface Step {
  readonly tag: string
  readonly num: number
  readonly more: boolean
  readonly szx: number
  readonly length: number
  readonly fill: number
  readonly format: number | undefined
  readonly announced: number | undefined
}

/** A client that mostly goes on in order, and sometimes leaps, repeats, begins again, ends, or changes the size of its blocks. */
const steps = (random: () => number): Step[] => {
  const at = new Map<string, { offset: number; szx: number; last: Step | undefined }>()
  return Array.from({ length: 40 }, (_, fill): Step => {
    const tag = random() < 0.7 ? 'a' : 'b'
    const state = at.get(tag) ?? { offset: 0, szx: 2, last: undefined }
    at.set(tag, state)
    const chance = random()
    if (chance < 0.1 && state.last !== undefined) return state.last
    if (chance < 0.15) state.offset = 0
    if (chance > 0.9 && state.szx > 0 && state.offset > 0) state.szx--
    if (state.offset === 0) state.szx = Math.floor(random() * 3)
    const size = 16 << state.szx
    const num = chance > 0.85 && chance < 0.9 ? Math.floor(random() * 5) : state.offset / size
    const more = random() < 0.85
    const step: Step = {
      tag,
      num,
      more,
      szx: state.szx,
      length: more ? size : Math.floor(random() * (size + 1)),
      fill,
      format: random() < 0.05 ? 42 : undefined,
      announced: num === 0 && random() < 0.3 ? 500 + Math.floor(random() * 1000) : undefined
    }
    state.offset = more ? (num + 1) * size : 0
    state.last = step
    return step
  })
}

const play = async (script: readonly Step[], collectUpTo: number, iterate: boolean) => {
  const home = uploadHome({ body: 1000 }, { collectUpTo })
  const bodies: string[] = []
  home.app.put('/body', async context => {
    const parts: Uint8Array[] = []
    if (iterate) for await (const chunk of context.body ?? []) parts.push(chunk)
    else parts.push(await context.bytes())
    bodies.push(Buffer.concat(parts).toString('hex'))
    return reply(204)
  })
  await home.listen()
  const client = await home.uploader()
  const codes: string[] = []
  for (const { tag, num, more, szx, length, fill, format, announced } of script) {
    const options: [number, string | number][] = [[OPTION.REQUEST_TAG, tag]]
    if (format !== undefined) options.push([OPTION.CONTENT_FORMAT, format])
    if (announced !== undefined) options.push([OPTION.SIZE1, announced])
    codes.push(await client.put('/body', num, more, { szx, options, payload: piece(fill, length) }))
  }
  await home.clock.runUntil(home.app.close({ timeout: 0 }))
  return { codes, bodies, live: home.app.live }
}

test(`answers ${ROUNDS} clients alike, whether it collects a body or reads it while it arrives`, async () => {
  const seen = new Map<string, number>()
  for (let seed = 1; seed <= ROUNDS; seed++) {
    const script = steps(seededRandom(seed))
    const collected = await play(script, Number.POSITIVE_INFINITY, false)
    const streamed = await play(script, seed % 3 === 0 ? 100 : 0, seed % 2 === 0)
    expect(streamed, `seed ${seed}`).toEqual(collected)
    expect(collected.live).toBe(0)
    for (const code of collected.codes) seen.set(code, (seen.get(code) ?? 0) + 1)
  }
  // The clients come to every answer.
  expect([...seen.keys()].sort()).toEqual(['2.04', '2.31', '4.08', '4.13'])
})
