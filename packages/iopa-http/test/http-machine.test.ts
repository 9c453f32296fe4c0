import { virtualClock } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { HttpMachine, NEXT_REQUEST, NO_LENGTH, OVERLONG, PAUSED, UNKNOWN_LENGTH } from '../src/machine/http-machine.ts'
import type { BodyReader } from '../src/machine/incoming-body.ts'
import { FINISH, PEER_END, STATE_NAMES } from '../src/machine/transitions.ts'
import { AnswerHeads } from '../src/message/answer-head.ts'

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
const make = (): HttpMachine => new HttpMachine(new AnswerHeads(virtualClock()), { body: 100, headerBytes: 1000 })
const stateOf = (machine: HttpMachine): string => STATE_NAMES[machine.state]

const GET = 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n'
const post = (fields: string, body = ''): string => `POST /b HTTP/1.1\r\nHost: a\r\n${fields}\r\n${body}`

/** A reader that takes `most` pieces. */
const reading = (most = Number.POSITIVE_INFINITY): BodyReader & { readonly pieces: string[]; ended: boolean } => {
  const pieces: string[] = []
  return {
    pieces,
    ended: false,
    failed: false,
    get wanted() {
      return pieces.length < most && !this.ended
    },
    push(piece) {
      pieces.push(Buffer.from(piece).toString())
      return pieces.length < most
    },
    end() {
      this.ended = true
    }
  }
}

/** Writes an answer of two bytes and gives back its head. */
const answer = (machine: HttpMachine): string => {
  const head = machine.respond(200, 'OK', [], '', 2)
  machine.complete()
  return head
}

describe('HttpMachine: receive()', () => {
  test('returns a request, and reads the next one only after its answer', () => {
    const machine = make()
    expect(machine.receive(bytes(GET + GET.replace('/a', '/c')), true)).toBe(NEXT_REQUEST)
    expect([machine.head.method, machine.head.target, stateOf(machine)]).toEqual(['GET', '/a', 'RECEIVED'])
    expect(machine.next(true)).toBe(PAUSED)
    expect(answer(machine)).toMatch(/^HTTP\/1\.1 200 OK\r\ncontent-length: 2\r\n/)
    expect(stateOf(machine)).toBe('IDLE')
    expect(machine.next(true)).toBe(NEXT_REQUEST)
    expect(machine.head.target).toBe('/c')
  })

  test('returns the same requests and bodies byte by byte', () => {
    const machine = make()
    const seen: string[] = []
    for (const byte of bytes(GET + post('Content-Length: 3\r\n', 'xyz') + post('Transfer-Encoding: chunked\r\n', '3\r\nuvw\r\n0\r\n\r\n') + GET)) {
      let event = machine.receive(Uint8Array.of(byte), true)
      for (; event === NEXT_REQUEST; event = machine.next(true)) {
        seen.push(machine.head.target)
        if (stateOf(machine) === 'RECEIVED') answer(machine)
        else machine.body.reader = reading()
      }
      const reader = machine.body.reader as ReturnType<typeof reading> | null
      if (reader?.ended === true) {
        seen.push(reader.pieces.join(''))
        answer(machine)
      }
    }
    expect(seen).toEqual(['/a', '/b', 'xyz', '/b', 'uvw', '/a'])
    expect(stateOf(machine)).toBe('IDLE')
  })

  test('reports that a head has begun, but not for empty lines before it', () => {
    const machine = make()
    machine.receive(bytes('\r\n'), true)
    expect(stateOf(machine)).toBe('IDLE')
    machine.receive(bytes('GET'), true)
    expect(stateOf(machine)).toBe('HEAD')
  })

  test('starts no request while the peer does not read', () => {
    const machine = make()
    expect(machine.receive(bytes(GET), false)).toBe(PAUSED)
    expect(stateOf(machine)).toBe('IDLE')
    expect(machine.next(true)).toBe(NEXT_REQUEST)
  })

  test('passes only as much of a body as the reader wants', () => {
    const machine = make()
    machine.receive(bytes(post('Content-Length: 6\r\n', 'abc')), true)
    const reader = reading(1)
    machine.body.reader = reader
    machine.next(true)
    machine.receive(bytes('def'), true)
    expect([reader.pieces, stateOf(machine)]).toEqual([['abc'], 'RECEIVING'])
    reader.pieces.length = 0
    machine.next(true)
    expect([reader.pieces, reader.ended, stateOf(machine)]).toEqual([['def'], true, 'RECEIVED'])
  })

  test('passes a whole body as a view of the input', () => {
    const machine = make()
    const chunk = bytes(post('Content-Length: 3\r\n', 'xyz'))
    machine.receive(chunk, true)
    expect(machine.whole(2)).toBeNull()
    const whole = machine.whole(3)
    expect([whole?.buffer === chunk.buffer, Buffer.from(whole as Uint8Array).toString(), stateOf(machine)]).toEqual([true, 'xyz', 'RECEIVED'])
  })

  test('is full when much is unread, until it is read', () => {
    const machine = make()
    machine.receive(bytes(GET), true)
    machine.receive(bytes(GET.repeat(1000)), true)
    expect(machine.full).toBe(true)
    for (let requests = 0; requests <= 1000; requests++) {
      answer(machine)
      machine.next(true)
    }
    expect(machine.full).toBe(false)
  })

  test('throws for an invalid request', () => {
    expect(() => make().receive(bytes('\x16\x03'), true)).toThrow(/malformed/)
  })
})

describe('HttpMachine: respond()', () => {
  test('discards the rest of a body after an early answer', () => {
    const machine = make()
    machine.receive(bytes(post('Content-Length: 10\r\n', 'abc')), true)
    expect(answer(machine)).not.toMatch(/connection/)
    expect(stateOf(machine)).toBe('DISCARDING')
    expect(machine.next(true)).toBe(PAUSED)
    expect(machine.receive(bytes(`defghij${GET}`), true)).toBe(NEXT_REQUEST)
  })

  test('reports that a chunked body is too long to discard', () => {
    const machine = make()
    machine.receive(bytes(post('Transfer-Encoding: chunked\r\n')), true)
    machine.respond(200, 'OK', [], '', UNKNOWN_LENGTH, true)
    machine.complete()
    expect(stateOf(machine)).toBe('DISCARDING')
    expect(machine.receive(bytes(`ff\r\n${'x'.repeat(200)}`), true)).toBe(OVERLONG)
  })

  for (const [what, text] of [
    ['whose body is over the limit', post('Content-Length: 101\r\n')],
    ['in chunks that have not come', post('Transfer-Encoding: chunked\r\n')],
    ['that waits for 100 Continue', post('Expect: 100-continue\r\nContent-Length: 5\r\n')],
    ['with Connection: close', GET.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')],
    ['of HTTP/1.0', GET.replace('1.1', '1.0')]
  ] as const) {
    test(`ends the connection after the answer to a request ${what}`, () => {
      const machine = make()
      machine.receive(bytes(text), true)
      expect(answer(machine)).toMatch(/\r\nconnection: close\r\n/)
      expect([stateOf(machine), machine.may(FINISH)]).toEqual(['LINGERING', false])
      machine.push(bytes(GET))
      expect([machine.next(true), machine.received]).toEqual([PAUSED, text.length + GET.length])
    })
  }

  test('keeps the connection for a complete chunked body', () => {
    const machine = make()
    machine.receive(bytes(post('Transfer-Encoding: chunked\r\n', '1\r\nx\r\n0\r\n\r\n')), true)
    expect(answer(machine)).not.toMatch(/connection/)
    expect(stateOf(machine)).toBe('IDLE')
  })

  test('sends a body of unknown length in chunks, and to HTTP/1.0 up to the end of the connection', () => {
    for (const [version, field, chunked, closes] of [
      ['1.1', '\r\ntransfer-encoding: chunked\r\n', true, false],
      ['1.0', '\r\nconnection: close\r\n', false, true]
    ] as const) {
      const machine = make()
      machine.receive(bytes(`GET / HTTP/${version}\r\nHost: a\r\nConnection: keep-alive\r\n\r\n`), true)
      expect(machine.respond(200, 'OK', [], '', UNKNOWN_LENGTH)).toContain(field)
      expect([machine.chunked, machine.closes]).toEqual([chunked, closes])
    }
  })

  test('writes no length if it is omitted', () => {
    const machine = make()
    machine.receive(bytes(GET), true)
    expect(machine.respond(304, 'Not Modified', [], '', NO_LENGTH)).not.toMatch(/content-length|transfer-encoding/)
  })

  test('keeps its state if a head cannot be written', () => {
    const machine = make()
    machine.receive(bytes(GET), true)
    expect(() => machine.respond(200, 'OK', ['x', 'a\nb'], '', 0)).toThrow(/cannot carry/)
    expect(stateOf(machine)).toBe('RECEIVED')
  })

  test('lets a running answer finish after the peer has ended its side, and nothing after it', () => {
    const machine = make()
    machine.receive(bytes(GET), true)
    machine.respond(200, 'OK', [], '', UNKNOWN_LENGTH)
    machine.step(PEER_END)
    machine.closes = true
    expect(stateOf(machine)).toBe('HALF_CLOSED')
    machine.complete()
    expect(stateOf(machine)).toBe('LINGERING')
  })

  test('reads nothing after an aborted answer', () => {
    const machine = make()
    machine.receive(bytes(GET + GET), true)
    machine.respond(200, 'OK', [], '', UNKNOWN_LENGTH)
    machine.cut()
    expect([machine.next(true), stateOf(machine), machine.empty]).toEqual([PAUSED, 'CLOSED', true])
  })
})
