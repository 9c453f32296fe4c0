import { type Clock, IopaError } from '@iopa/transport'
import { CODE } from '../codec/codes.ts'
import type { Message } from '../codec/message.ts'
import { OPTION } from '../codec/option-registry.ts'
import type { Requester } from './requester.ts'
import { type ClientRequest, type ClientResponse, Transfer, type TransferSettings } from './transfer.ts'

/** Bits of the No-Response option: the classes of responses that are not wanted (RFC 7967 section 2.1). */
const SUCCESS = 2
const ALL = 26

/** Milliseconds that a request still waits for an error, where it wants those alone, once it has arrived. */
const ERROR_WAIT = 2000

/** True for a value of No-Response by which no answer tells of success. */
export const withoutSuccess = (value: number | undefined): value is number => value !== undefined && (value & SUCCESS) !== 0

/** True for a value of No-Response by which no answer comes at all. */
export const withoutAnswer = (value: number | undefined): value is number => value !== undefined && (value & ALL) === ALL

/**
 * Sends a request whose success is not answered; `value` is its No-Response. Resolves with an error response, or with undefined: when the server has
 * acknowledged the request or it was sent without asking for that; two seconds later where errors are wanted.
 * @throws IopaError 400 for a body that takes several messages
 */
export const sendUnanswered = async (
  requester: Requester,
  request: ClientRequest,
  value: number,
  settings: TransferSettings,
  clock: Clock
): Promise<ClientResponse | undefined> => {
  // Some servers match blocks by all options, and some suppress 2.31 too: a transfer would never end.
  if (request.payload.length > requester.maxPayload)
    throw new IopaError(
      400,
      'bad-coap-option',
      `No-Response is for bodies of up to ${requester.maxPayload} bytes: each block of a larger one needs its answer.`
    )
  const first = await send(requester, request, value, settings, clock)
  const echo = first?.code === CODE.UNAUTHORIZED ? first.options.get(OPTION.ECHO) : undefined
  const again = (): Promise<Message | undefined> =>
    send(requester, { ...request, options: request.options.copy().set(OPTION.ECHO, echo) }, value, settings, clock)
  const message = echo === undefined ? first : await again()
  return message === undefined ? undefined : { message, payload: await new Transfer(requester, settings).collect(request, message) }
}

/** Sends the message that no success answers: undefined when no answer has come. */
const send = (
  requester: Requester,
  { code, options, payload }: ClientRequest,
  value: number,
  { signal, confirmable, awaits, tokenLength }: TransferSettings,
  clock: Clock
): Promise<Message | undefined> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    let timer: unknown
    const settle = (): void => {
      clock.clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      // A listener may be called before open() has returned.
      queueMicrotask(() => open.close())
    }
    const finish = (message?: Message): void => {
      settle()
      resolve(message)
    }
    const abort = (): void => {
      settle()
      reject(signal!.reason)
    }
    const received = (): void => {
      if (withoutAnswer(value)) finish()
      else timer = clock.setTimeout(finish, ERROR_WAIT, { keep: true })
    }
    signal?.addEventListener('abort', abort, { once: true })
    awaits?.('receipt')
    const open = requester.open(code, options, payload, confirmable, {
      tokenLength,
      received,
      response(message) {
        finish(message)
        return true
      },
      failed(error) {
        settle()
        reject(error)
      }
    })
    // A connection acknowledges nothing.
    if (requester.reliable) received()
  })
