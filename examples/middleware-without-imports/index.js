// Middleware needs no library, only the keys. It runs on every protocol, for every protocol has headers.
const TRUSTED = /^[\w-]{8,64}$/

/** Takes the request's `x-request-id`, or makes one; handlers find it at `requestid.Value`, peers in the answer. */
export const requestId = ({ header = 'x-request-id' } = {}) => {
  const middleware = (context, next) => {
    const given = context['iopa.Headers'].get(header)
    const id = given !== undefined && TRUSTED.test(given) ? given : crypto.randomUUID()
    context['requestid.Value'] = id
    context.response['iopa.Headers'].set(header, id)
    return next()
  }
  middleware.provides = ['requestid.Value']
  middleware.keys = { namespace: 'requestid', owner: 'iopa-request-id', keys: { Value: { doc: 'Id of the request, for logs.' } } }
  return middleware
}
