/** Everything this client throws. Look at `code` and `reason`; `message` is one sentence for people. */

export class ZmartError extends Error {}

/** The node could not be reached, or the connection broke before its answer. */
export class NetworkError extends ZmartError {
  /**
   * @param {string} message
   * @param {unknown} [cause]
   */
  constructor(message, cause) {
    super(message, { cause });
    this.name = 'NetworkError';
  }
}

/**
 * @typedef {object} ErrorBody
 * @property {string} code          such as 'CONFLICT'
 * @property {string} message       one sentence for people
 * @property {number} status
 * @property {string} [reason]      such as 'already_voted'
 * @property {any} [details]        bad fields, or the program's error
 * @property {string} [request_id]
 */

/** The node answered with an error. */
export class ApiError extends ZmartError {
  /** @param {ErrorBody} body */
  constructor(body) {
    super(body.message);
    this.name = 'ApiError';
    this.code = body.code;
    this.status = body.status;
    this.reason = body.reason ?? null;
    this.details = body.details ?? null;
    this.requestId = body.request_id ?? null;
  }

  /** The program's own error ({name, number, instruction_index}), if the chain refused. */
  get programError() {
    return this.details?.program_error ?? null;
  }

  /** @returns {{field: string, message: string}[]} the fields that the node did not accept */
  get fields() {
    return Array.isArray(this.details) ? this.details : [];
  }
}

/** Too many requests; `retryAfterMs` says how long to wait. */
export class RateLimited extends ApiError {
  /** @param {ErrorBody} body */
  constructor(body) {
    super(body);
    this.name = 'RateLimited';
    this.retryAfterMs = Number(body.details?.retryAfter ?? 1) * 1000;
  }
}

/**
 * The error of an answer that is none of 2xx.
 * @param {Response} response
 * @returns {Promise<ApiError>}
 */
export async function errorOf(response) {
  const body = await response.json().catch(() => null);
  const known = typeof body?.code === 'string' ? body : { code: 'HTTP_ERROR', message: `The server answered ${response.status}.` };
  const error = { ...known, status: response.status };
  return response.status === 429 ? new RateLimited(error) : new ApiError(error);
}
