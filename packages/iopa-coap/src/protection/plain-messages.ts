import type { PlainMessage } from '@iopa/transport'
import { decode, encodeReply, isMalformed } from '../codec/datagram-codec.ts'
import type { Message, ReceivedMessage } from '../codec/message.ts'
import { Options } from '../codec/options.ts'

/** A message of which a protection may keep the options: they are copied. */
export const plainMessage = (code: number, options: Options, payload: Uint8Array): PlainMessage => ({ code, options: [...options.copy()], payload })

/** A received message, without the options that `left` names. */
export const plainOf = ({ code, options, payload }: Message, left?: ReadonlySet<number>): PlainMessage => ({
  code,
  options: left === undefined ? [...options] : [...options].filter(([number]) => !left.has(number)),
  payload
})

/** The options of a message, as they are written. */
export const optionsOf = (message: PlainMessage): Options => {
  const options = new Options()
  for (const [number, value] of message.options) options.add(number, value)
  return options
}

/** What a protected request holds, as a message that came in its place: with its type, id and token. Undefined where it is no message. */
export const requestWithin = (outer: ReceivedMessage, plain: PlainMessage): ReceivedMessage | undefined => {
  const message = decode(encodeReply(outer, outer.type, outer.id, plain.code, optionsOf(plain), plain.payload))
  return isMalformed(message) ? undefined : message
}

/** What a protected response holds, as a message that came in its place. */
export const responseWithin = ({ type, id, token }: Message, plain: PlainMessage): Message => ({
  type,
  code: plain.code,
  id,
  token,
  options: optionsOf(plain),
  payload: plain.payload
})
