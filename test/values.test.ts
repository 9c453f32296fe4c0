// One rule for values, on every protocol: a value has its bytes and its type, or the answer is one 500 that says why in the log.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KINDS, type Kind, type Wire } from './value-kinds.ts'
import { FORMS, type Form, type Got, PROTOCOLS, type Protocol, ValueTown } from './values-support.ts'

let town: ValueTown
beforeAll(async () => {
  town = await ValueTown.open()
})
afterAll(() => town.close())

type Verb = 'get' | 'head' | 'put' | 'conditional' | 'observe'
const VERBS: readonly Verb[] = ['get', 'head', 'put', 'conditional', 'observe']

/** Cells that a protocol does not have. */
const has = (protocol: Protocol, verb: Verb): boolean =>
  // CoAP has no HEAD (RFC 7252 section 5.8); UDP cannot tell that an observer has left.
  !(protocol === 'coap' && verb === 'head') && !(protocol === 'udp' && verb === 'observe')

const formsOf = (kind: Kind): readonly Form[] => (kind.only === 'returned' ? ['returned'] : kind.only === 'body' ? ['reply', 'body'] : FORMS)

/**
 * What is returned is asked for with every verb on every protocol. The other forms are other ways to the same answer:
 * each kind in each of them is asked for with every verb, on at least one protocol. IOPA_FUZZ asks for all on all.
 */
const isAsked = (kind: number, form: Form, verb: Verb, protocol: Protocol): boolean => {
  if (form === 'returned' || process.env['IOPA_FUZZ'] !== undefined) return true
  // Two residues for observations, which not every protocol has.
  return (kind + PROTOCOLS.indexOf(protocol) + VERBS.indexOf(verb)) % VERBS.length < (verb === 'observe' ? 2 : 1)
}

/** CoAP writes parameters without spaces. */
const plain = (type: string): string => type.replace(/; /g, ';')
const matches = (actual: string, expected: string | RegExp): boolean =>
  typeof expected === 'string' ? plain(actual) === plain(expected) : expected.test(actual)

/** CoAP has numbers for few media types: text without one of its own is plain text, anything else has no type then. */
const isNearest = (actual: string, expected: string | RegExp): boolean =>
  !/^text\/plain|json$|octet-stream$/.test(String(expected)) &&
  (actual === '' || (/^text\//.test(String(expected)) && actual.startsWith('text/plain')))

/** What is wrong with an answer; undefined for nothing. */
const faultOf = (protocol: Protocol, verb: Verb, form: Form, kind: Kind, wire: Wire, got: Got): string | undefined => {
  const bytes = Buffer.from(got.bytes)
  const shown = `${got.status} ${got.type || '-'} ${JSON.stringify(bytes.toString().slice(0, 60))}`
  // reply(200, response) says its own status.
  const status = form === 'reply' ? 200 : (wire.status ?? 200)
  if (verb === 'head') {
    const typed = kind.unpulled === true || matches(got.type, wire.type)
    return got.status === status && bytes.length === 0 && typed ? undefined : shown
  }
  const expected = wire.bytes instanceof RegExp ? wire.bytes : Buffer.from(wire.bytes as string)
  const empty = !(expected instanceof RegExp) && expected.length === 0
  // CoAP says with a code whether a change has a payload, and has no 202; an empty MQTT message is one without content.
  const statuses = protocol === 'coap' ? [status === 202 ? 200 : status] : [status]
  if (empty && (protocol === 'coap' || protocol === 'mqtt')) statuses.push(204)
  if (verb === 'observe' && statuses[0] === 202) statuses.push(200)
  if (!statuses.includes(got.status)) return shown
  if (verb === 'observe' && status >= 400) return undefined
  if (!(expected instanceof RegExp ? expected.test(bytes.toString()) : expected.equals(bytes))) return shown
  if (matches(got.type, wire.type)) return undefined
  if (protocol === 'coap' && isNearest(got.type, wire.type)) return undefined
  // No Content-Format goes with no payload.
  if (protocol === 'coap' && empty && got.type === '') return undefined
  return shown
}

const refusalFault = (protocol: Protocol, kind: Kind, verb: Verb, got: Got, lines: readonly string[], route: string): string | undefined => {
  const text = Buffer.from(got.bytes).toString()
  if (verb === 'head' && kind.unpulled === true) return got.status === 200 && text === '' ? undefined : `${got.status}, not 200`
  // SUBACK has one code for every failure, which a client takes for 502.
  const status = protocol === 'mqtt' && verb === 'observe' ? 502 : 500
  if (got.status !== status) return `${got.status} ${got.type || '-'} ${JSON.stringify(text.slice(0, 60))}, not 500`
  if (verb === 'head' && text !== '') return 'HEAD has a body'
  if (lines.length !== 1) return `${lines.length} log lines ${JSON.stringify(lines.map(line => line.slice(0, 100)))}`
  if (!kind.says?.test(lines[0] as string)) return `the log does not name the kind: ${lines[0]?.slice(0, 150)}`
  return lines[0]?.includes(route) ? undefined : `the log does not name the route: ${lines[0]?.slice(0, 150)}`
}

const ask = (protocol: Protocol, verb: Verb, path: string): Promise<Got> => {
  const peer = town.peer(protocol)
  if (verb === 'observe') return peer.observe(path)
  if (verb === 'conditional') return peer.send('GET', path, { 'if-none-match': '"another"' })
  return peer.send(verb.toUpperCase(), path, {})
}

/** Runs the cells of a protocol, some at once, and returns those that are wrong. */
const wrongCells = async (protocol: Protocol): Promise<string[]> => {
  const cells: (() => Promise<string | undefined>)[] = []
  for (const [at, kind] of KINDS.entries()) {
    for (const form of formsOf(kind)) {
      for (const verb of VERBS) {
        if (!has(protocol, verb) || !isAsked(at, form, verb, protocol)) continue
        // A subscription to a topic whose GET is refused with 4xx waits for a change of that.
        if (protocol === 'mqtt' && verb === 'observe' && (kind.wire?.status ?? 200) >= 400) continue
        const path = `/values/${at}/${form}/${protocol}/${verb}`
        cells.push(async () => {
          let fault: string | undefined
          try {
            const got = await within(ask(protocol, verb, path))
            // A second line may come after the answer.
            if (kind.wire === null) await new Promise(resolve => setImmediate(resolve))
            fault =
              kind.wire === null
                ? refusalFault(protocol, kind, verb, got, town.linesOf(path), path)
                : faultOf(protocol, verb, form, kind, kind.wire, got)
          } catch (error) {
            fault = `threw ${error}`
          }
          return fault && `${kind.name}, ${form}, ${verb}: ${fault}`
        })
      }
    }
  }
  return (await someAtOnce(cells)).filter(fault => fault !== undefined)
}

/** Rejects when nothing has come after a time that no cell needs. */
const within = async <T>(work: Promise<T>): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  try {
    return await Promise.race([work, new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new Error('no answer')), 30_000)))])
  } finally {
    clearTimeout(timer)
  }
}

const someAtOnce = async <T>(work: readonly (() => Promise<T>)[]): Promise<T[]> => {
  const results: T[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < work.length) {
      const at = next++
      results[at] = await (work[at] as () => Promise<T>)()
    }
  }
  await Promise.all(Array.from({ length: 8 }, worker))
  return results
}

describe('a value of every kind', () => {
  test.each(PROTOCOLS)(
    'is sent as its bytes and type, or as one logged 500: %s',
    async protocol => {
      expect(await wrongCells(protocol)).toEqual([])
    },
    60_000
  )

  test.each(PROTOCOLS.filter(protocol => protocol !== 'fetch'))('is sent by a client as its bytes and type, or refused: %s', async protocol => {
    const sent = KINDS.filter(({ only }) => only === undefined || only === 'body')
    const peer = town.peer(protocol)
    const cells = sent.map(kind => async (): Promise<string | undefined> => {
      try {
        const got = await within(peer.put('', kind.prepare === undefined ? kind.make() : await kind.prepare()))
        const fault =
          kind.wire === null
            ? `was sent as ${JSON.stringify(Buffer.from(got.bytes).toString().slice(0, 60))}`
            : faultOf(protocol, 'get', 'returned', kind, kind.wire, got)
        return fault && `${kind.name}: ${fault}`
      } catch (error) {
        // CoAP has no number for forms: its client says so and sends nothing.
        if (kind.wire === null || (protocol === 'coap' && /no Content-Format/.test(String(error)))) return undefined
        return `${kind.name}: threw ${error}`
      }
    })
    expect((await someAtOnce(cells)).filter(fault => fault !== undefined)).toEqual([])
  })

  test('leaves no context behind after the clients have disconnected', async () => {
    await town.leave()
    for (let turn = 0; turn < 400 && town.app.live > 0; turn++) await new Promise(resolve => setTimeout(resolve, 5))
    expect(town.app.live).toBe(0)
  })
})
